#include "product_service.h"

int main(int argc, char **argv)
{
    return bv_service_main(&product_spec, argc, argv);
}
